package jmeter

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"bakeoff/internal/fleet"
	"bakeoff/internal/load"
)

// OwnPlan is a test plan that a team has: a file of its own. It is run as it is, with host, port, threads, ramp, duration and
// keys as properties. What it asks for is not known here.
type OwnPlan struct {
	Path   string
	Digest string
	text   []byte
}

// largestPlan is how large such a file may be, in bytes.
const largestPlan = 64 << 20

// CheckOwnPlan refuses a test plan as ReadOwnPlan does, and needs no JMeter: where that is not there yet, a plugin is known by its
// package alone.
func CheckOwnPlan(path, cacheDir string, getenv func(string) string, allowed []string) error {
	_, err := ReadOwnPlan(path, there(cacheDir, getenv), allowed)
	return err
}

// ReadOwnPlan reads a test plan. It refuses one that needs plugins which the home does not have, by their names, and one that
// names another host than the property host or those that are allowed.
func ReadOwnPlan(path string, home Home, allowed []string) (*OwnPlan, error) {
	text, err := textOf(path)
	if err != nil {
		return nil, err
	}
	used, err := classes(text)
	if err != nil {
		return nil, fmt.Errorf("jmeter: test plan %s: %w", path, err)
	}
	missing, err := home.without(used)
	if err != nil {
		return nil, fmt.Errorf("jmeter: test plan %s: %w", path, err)
	}
	if len(missing) > 0 {
		in := home.Dir
		if in == "" {
			in = "JMeter " + Version
		}
		return nil, fmt.Errorf("jmeter: test plan %s uses plugins that %s does not have: %s", path, in, strings.Join(missing, ", "))
	}
	if err := checkHosts(text, allowed); err != nil {
		return nil, fmt.Errorf("jmeter: test plan %s: %w", path, err)
	}
	return &OwnPlan{Path: path, Digest: digestOf(text), text: text}, nil
}

// ReadOwnText reads a test plan that is run elsewhere. It refuses one as ReadOwnPlan does, except for plugins: which are there only
// the home there says.
func ReadOwnText(path string, allowed []string) ([]byte, error) {
	text, err := textOf(path)
	if err != nil {
		return nil, err
	}
	if _, err := classes(text); err != nil {
		return nil, fmt.Errorf("jmeter: test plan %s: %w", path, err)
	}
	if err := checkHosts(text, allowed); err != nil {
		return nil, fmt.Errorf("jmeter: test plan %s: %w", path, err)
	}
	return text, nil
}

// textOf is what is in a file.
func textOf(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("jmeter: test plan: %w", err)
	}
	defer file.Close() // opened for reading
	text, err := io.ReadAll(io.LimitReader(file, largestPlan))
	if err != nil {
		return nil, fmt.Errorf("jmeter: test plan: %w", err)
	}
	return text, nil
}

// classes are the names of the test classes in a plan, each once, sorted.
func classes(text []byte) ([]string, error) {
	dec := xml.NewDecoder(bytes.NewReader(text))
	var out []string
	root := ""
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if root == "" {
			root = start.Name.Local
		}
		for _, a := range start.Attr {
			if a.Name.Local == "testclass" && a.Value != "" && !slices.Contains(out, a.Value) {
				out = append(out, a.Value)
			}
		}
	}
	if root != "jmeterTestPlan" {
		return nil, fmt.Errorf("it is no test plan: its root is %q", root)
	}
	slices.Sort(out)
	return out, nil
}

// without are those of the classes that neither JMeter's list of short names nor a jar has.
func (h Home) without(used []string) ([]string, error) {
	if h.Dir == "" {
		return slices.DeleteFunc(slices.Clone(used), func(name string) bool {
			return !strings.Contains(name, ".") || strings.HasPrefix(name, "org.apache.jmeter.")
		}), nil
	}
	aliases, err := h.aliases()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range used {
		full := name
		if !strings.Contains(name, ".") {
			full = aliases[name]
		}
		if full == "" || !strings.HasPrefix(full, "org.apache.jmeter.") {
			has, err := h.has(full)
			if err != nil {
				return nil, err
			}
			if full == "" || !has {
				out = append(out, name)
			}
		}
	}
	return out, nil
}

// aliases are JMeter's short names of classes.
func (h Home) aliases() (map[string]string, error) {
	file, err := os.Open(filepath.Join(h.Dir, "bin", "saveservice.properties"))
	if err != nil {
		return nil, err
	}
	defer file.Close() // opened for reading
	out := map[string]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		names, class, _ := strings.Cut(lines.Text(), "=")
		if strings.HasPrefix(names, "#") || strings.HasPrefix(names, "_") {
			continue
		}
		class, _, _ = strings.Cut(class, ",")
		for name := range strings.SplitSeq(names, ",") { // such as HTTPSamplerProxy,HTTPSampler,HTTPSampler2
			out[strings.TrimSpace(name)] = strings.TrimSpace(class)
		}
	}
	return out, nil
}

// has reports whether a jar of the home holds a class.
func (h Home) has(class string) (bool, error) {
	file := strings.ReplaceAll(class, ".", "/") + ".class"
	for _, folder := range []string{"lib/ext", "lib"} {
		jars, err := filepath.Glob(filepath.Join(h.Dir, folder, "*.jar"))
		if err != nil {
			return false, err
		}
		for _, jar := range jars {
			r, err := zip.OpenReader(jar)
			if err != nil {
				return false, fmt.Errorf("%s: %w", jar, err)
			}
			found := slices.ContainsFunc(r.File, func(f *zip.File) bool { return f.Name == file })
			r.Close()
			if found {
				return true, nil
			}
		}
	}
	return false, nil
}

// properties are what the plan is given, as arguments of the master.
func (o *OwnPlan) properties(t fleet.Task, servers int, keys string) ([]string, error) {
	u, err := check(t)
	if err != nil {
		return nil, err
	}
	if t.Phase.Model != load.Closed {
		return nil, fmt.Errorf("jmeter: phase %s: a test plan of a team's own decides on its model itself: only closed phases give it threads", t.Phase.Name)
	}
	host, port := dialled(t, u)
	if port == "" {
		port = "80"
	}
	return []string{
		"-Ghost=" + host, "-Gport=" + port, fmt.Sprintf("-Gthreads=%d", max(1, t.Phase.Connections/servers)),
		"-Gramp=" + seconds(t.Phase.Ramp), "-Gduration=" + seconds(t.Phase.Duration), "-Gkeys=" + keys,
	}, nil
}

// bareKey is the value asked for in a request target: of the parameter "name", or all of the target where it has none.
func bareKey(target []byte) string {
	if u, err := url.ParseRequestURI(string(target)); err == nil && u.Query().Get("name") != "" {
		return u.Query().Get("name")
	}
	return string(target)
}

// unknown is the workload of requests about which nothing is known: what JMeter's own assertions say counts.
type unknown struct{ Asked }

func (unknown) Hit(uint64, uint64) (hit, known bool)          { return false, false }
func (unknown) Judge(uint64, uint64, []string) (class string) { return "" }
