package export

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Point is one line of InfluxDB's line protocol. Points of the same measurement, tags and time are one: the
// last one written of each field counts.
type Point struct {
	Measurement string
	Tags        []Tag // by key; empty values are left out
	Fields      []Field
	At          time.Time
}

// A Tag is indexed: its values must be few.
type Tag struct{ Key, Value string }

// A Field holds a float64, an int64 or a string. A float that is not finite is left out.
type Field struct {
	Key   string
	Value any
}

var (
	nameEscapes  = strings.NewReplacer(",", `\,`, " ", `\ `, "\n", "_")
	tagEscapes   = strings.NewReplacer(",", `\,`, " ", `\ `, "=", `\=`, "\n", "_")
	fieldEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
)

// line appends the point as a line with its time in nanoseconds; nothing where no field can be written.
func (p Point) line(b []byte) []byte {
	begin := len(b)
	b = append(b, nameEscapes.Replace(p.Measurement)...)
	for _, t := range p.Tags {
		if value := inLine(t.Value); value != "" {
			b = append(b, ',')
			b = append(b, tagEscapes.Replace(t.Key)...)
			b = append(b, '=')
			b = append(b, tagEscapes.Replace(value)...)
		}
	}
	separator := byte(' ')
	for _, f := range p.Fields {
		if x, ok := f.Value.(float64); ok && (math.IsNaN(x) || math.IsInf(x, 0)) {
			continue
		}
		b = append(append(b, separator), tagEscapes.Replace(f.Key)...)
		b = append(append(b, '='), f.text()...)
		separator = ','
	}
	if separator == ' ' {
		return b[:begin]
	}
	b = strconv.AppendInt(append(b, ' '), p.At.UnixNano(), 10)
	return append(b, '\n')
}

// inLine is a tag's value as it can be in a line: without control characters, and without a backslash at
// its end, which would escape what follows.
func inLine(value string) string {
	return strings.TrimRight(strings.TrimSpace(spaced(value)), `\`)
}

// spaced has a space in place of each control character: a point is one line.
func spaced(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}

func (f Field) text() string {
	switch v := f.Value.(type) {
	case int64:
		return strconv.FormatInt(v, 10) + "i"
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		return `"` + fieldEscapes.Replace(spaced(v)) + `"`
	}
	return `""`
}

// with returns the tags and more of them, by key.
func with(tags []Tag, more ...Tag) []Tag {
	out := slices.Concat(tags, more)
	slices.SortFunc(out, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
	return out
}
