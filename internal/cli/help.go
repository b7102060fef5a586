package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bakeoff/internal/plan"
	"bakeoff/internal/show"
)

// helpWithPlans has the help of a command list the plans that the program carries, with what each is for.
func helpWithPlans(env Env, cmd *cobra.Command) {
	long := cmd.Long
	cmd.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		table := show.Table{Left: 1, Words: 1}
		for _, name := range carriedPlans(env) {
			table.Rows = append(table.Rows, []string{"  " + name, carriedDescription(env, name)})
		}
		cmd.Long = long + "\n\nBuilt-in plans:\n" + table.Text(show.Columns(env.Stdout))
		cmd.Parent().HelpFunc()(cmd, args)
	})
}

// carriedDescription says what a plan that the program carries is for.
func carriedDescription(env Env, name string) string {
	file := "plans/" + name + ".yaml"
	data, err := fs.ReadFile(env.Assets, file)
	if err != nil {
		return ""
	}
	p, err := plan.Load(file, data)
	if err != nil {
		return ""
	}
	return p.Description
}

// ownWords says of the value of a flag what it should be, where the library has the words of the function that read it.
func ownWords(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	flag, value := invalid.GetFlag(), show.Quote(invalid.GetValue(), 40)
	name := "--" + flag.Name
	switch flag.Value.Type() {
	case "duration":
		return durationWords(name, invalid.GetValue())
	case "int", "int64":
		return fmt.Errorf("%s: %s is not a whole number that fits", name, value)
	case "uint64":
		return fmt.Errorf("%s: %s is not a whole number from 0 on that fits", name, value)
	case "float64":
		return fmt.Errorf("%s: %s is not a number", name, value)
	case "bool":
		return fmt.Errorf("%s: %s is neither true nor false", name, value)
	}
	return err
}

// durationWords says what is wrong with a duration, in the words that are used of one in a plan.
func durationWords(name, value string) error {
	var d plan.Duration
	err := d.UnmarshalText([]byte(value))
	var hinted interface{ Hint() string }
	if err == nil || !errors.As(err, &hinted) {
		return fmt.Errorf("%s: %s is not a duration", name, show.Quote(value, 40))
	}
	hint := hinted.Hint()
	if whole, found := strings.CutSuffix(hint, "ms"); found && name == "--max-time" && strings.HasSuffix(err.Error(), "no unit") {
		hint = whole + "m" // nobody means milliseconds
	}
	return fmt.Errorf("%s: %w: %s", name, err, hint)
}
