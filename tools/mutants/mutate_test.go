package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const source = `package p

import "fmt"

const limit = 0x10

type t struct{ n [3]int }

func f(a int, ok bool) (int, error) {
	b := a
	if a > 1 && ok {
		b += 2
		fmt.Println("text")
	}
	for i := 0; i < 1.5*limit; i++ {
		continue
	}
	switch a {
	case 7:
		b--
	}
	return b, fmt.Errorf("no %v", true)
}
`

// Every kind of mutant is found where it belongs, and each change is the one that is said.
func TestMutants(t *testing.T) {
	found, err := mutantsIn("p.go", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range found {
		got = append(got, strings.TrimPrefix(m.String(), "p.go:"))
		mutated := string(m.apply([]byte(source)))
		if mutated == source || len(mutated) != len(source)-(m.end-m.start)+len(m.text) {
			t.Errorf("%v changes nothing, or too much", m)
		}
	}
	slices.Sort(got)
	want := []string{
		"5: changed constant: 0x10 -> 17",
		"11: negated condition: a > 1 && ok", "11: changed constant: 1 -> 2", "11: dropped statement: if a > 1 && ok { ...",
		"12: changed constant: 2 -> 3", "12: dropped statement: b += 2", `13: dropped statement: fmt.Println("text")`,
		"15: changed constant: 0 -> 1", "15: changed constant: 1.5 -> (2 * 1.5)", "16: dropped statement: continue",
		"19: changed constant: 7 -> 8", "20: dropped statement: b--", "22: changed constant: true -> false",
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("found %s\nwant  %s", strings.Join(got, "\n      "), strings.Join(want, "\n      "))
	}
}

// The same seed draws the same mutants, another one others.
func TestDraw(t *testing.T) {
	o := options{root: "../..", packages: []string{"gate", "record"}, seed: 3}
	first, err := draw(o)
	if err != nil {
		t.Fatal(err)
	}
	again, err := draw(o)
	if err != nil {
		t.Fatal(err)
	}
	o.seed = 4
	other, err := draw(o)
	if err != nil {
		t.Fatal(err)
	}
	if len(first) < 200 || fmt.Sprint(first) != fmt.Sprint(again) || fmt.Sprint(first[:20]) == fmt.Sprint(other[:20]) {
		t.Errorf("%d mutants; the same again: %v", len(first), fmt.Sprint(first) == fmt.Sprint(again))
	}
}
