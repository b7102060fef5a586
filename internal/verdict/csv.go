package verdict

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// columns are what a file holds: in any order, each once; those after the first three may be missing.
var columns = []string{"block", "target", "value", "position", "bound"}

const required = 3 // of the columns

// ReadCSV reads figures with the columns block, target and value, and, where there are such, position and bound, as
// RFC 4180 has it; the name is for messages.
// A byte order mark, line ends of any kind, quoted fields, blank lines and space around fields are let be. Anything
// else that is not as expected is refused with its line: unknown, missing and repeated columns, values that are no
// decimal number above 0, a second value for a block and target.
func ReadCSV(name string, data []byte) (*Table, error) {
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil, fmt.Errorf("%s:1: the text is UTF-16: save it as UTF-8", name)
	}
	rows := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	rows.FieldsPerRecord = -1 // said in our own words
	header, err := rows.Read()
	switch {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s: the file is empty: the first line names the columns %s", name, strings.Join(columns[:required], ","))
	case err != nil:
		return nil, atLine(name, err)
	}
	place, err := places(header)
	if err != nil {
		line, _ := rows.FieldPos(0)
		return nil, fmt.Errorf("%s:%d: %w", name, line, err)
	}
	t := &Table{}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, atLine(name, err)
		}
		if err := t.addRow(row, place); err != nil {
			line, _ := rows.FieldPos(0)
			return nil, fmt.Errorf("%s:%d: %w", name, line, err)
		}
	}
	if t.Len() == 0 {
		return nil, fmt.Errorf("%s: there is no line below the columns", name)
	}
	return t, nil
}

// atLine words an error of the CSV reader as file:line.
func atLine(name string, err error) error {
	var wrong *csv.ParseError
	if errors.As(err, &wrong) {
		return fmt.Errorf("%s:%d: %w", name, wrong.Line, wrong.Err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// places finds each column in the header.
func places(header []string) ([]int, error) {
	out := slices.Repeat([]int{-1}, len(columns))
	for i, field := range header {
		field = strings.TrimSpace(field)
		at := slices.Index(columns, field)
		switch {
		case at < 0 && len(header) == 1 && strings.ContainsAny(field, ";\t"):
			return nil, fmt.Errorf("the columns are separated by %q: separate them by commas", field[strings.IndexAny(field, ";\t")])
		case at < 0:
			return nil, fmt.Errorf("unknown column %q (there are: %s)", field, strings.Join(columns, ", "))
		case out[at] >= 0:
			return nil, fmt.Errorf("column %q is given twice", field)
		}
		out[at] = i
	}
	for at, i := range out[:required] {
		if i < 0 {
			return nil, fmt.Errorf("there is no column %q (the first line names the columns %s)", columns[at], strings.Join(columns[:required], ","))
		}
	}
	return out, nil
}

// addRow puts one line's figure in.
func (t *Table) addRow(row []string, place []int) error {
	fields := required
	for _, at := range place[required:] {
		if at >= 0 {
			fields++
		}
	}
	if len(row) != fields {
		hint := ""
		if len(row) > fields {
			hint = ": a decimal comma? write 12.5, not 12,5"
		}
		return fmt.Errorf("%s, the first line has %d%s", plural(len(row), "field"), fields, hint)
	}
	value, err := parse(strings.TrimSpace(row[place[2]]))
	if err != nil {
		return err
	}
	c := Cell{Block: strings.TrimSpace(row[place[0]]), Target: strings.TrimSpace(row[place[1]]), Value: value}
	if at := place[required]; at >= 0 {
		if c.Position, err = strconv.Atoi(strings.TrimSpace(row[at])); err != nil || c.Position < 1 {
			return fmt.Errorf("position %q is not a whole number from 1 on", row[at])
		}
	}
	if at := place[required+1]; at >= 0 {
		if c.Bound = Bound(strings.TrimSpace(row[at])); !slices.Contains(bounds, c.Bound) {
			return fmt.Errorf("bound %q is none of: %s, %s, %s, or nothing where the value is known", row[at], AtLeast, AtMost, About)
		}
	}
	for _, name := range []string{c.Block, c.Target} {
		if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) || !utf8.ValidString(name) {
			return fmt.Errorf("%q has characters that cannot be printed", name)
		}
	}
	return t.Add(c)
}

// parse reads a decimal number.
func parse(text string) (float64, error) {
	switch rest := strings.Trim(text, "0123456789.eE+-"); {
	case text == "":
		return 0, fmt.Errorf("the value is empty: leave the line out where nothing was measured")
	case strings.Contains(text, ","):
		return 0, fmt.Errorf("value %q has a comma: write 1234.5, neither 1234,5 nor 1,234.5", text)
	case rest != "":
		return 0, fmt.Errorf("value %q is not a decimal number, such as 1234.5", text)
	}
	value, err := strconv.ParseFloat(text, 64)
	if errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("value %s is beyond the numbers that can be computed with", text)
	}
	if err != nil {
		return 0, fmt.Errorf("value %q is not a decimal number, such as 1234.5", text)
	}
	return value, nil
}
