package verdict

import (
	"strings"
	"testing"
)

func TestReadCSV(t *testing.T) {
	for name, text := range map[string]string{
		"plain":                  "block,target,value\n1,a,10\n1,b,20.5\n2,a,1e1\n",
		"without a last newline": "block,target,value\n1,a,10\n1,b,20.5\n2,a,10",
		"CRLF":                   "block,target,value\r\n1,a,10\r\n1,b,20.5\r\n2,a,10\r\n",
		"byte order mark":        "\ufeffblock,target,value\n1,a,10\n1,b,20.5\n2,a,10\n",
		"quoted":                 "\"block\",\"target\",\"value\"\n\"1\",\"a\",\"10\"\n1,b,20.5\n2,a,10\n",
		"other order":            "value,block,target\n10,1,a\n20.5,1,b\n10,2,a\n",
		"spaces and blank lines": "block, target, value\n\n1, a, 10\n1 ,b , 20.5 \n\n2,a,+10\n",
	} {
		table, err := ReadCSV("x.csv", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if table.Len() != 3 || table.cells["b"]["1"].Value != 20.5 || table.cells["a"]["2"].Value != 10 {
			t.Errorf("%s: %+v", name, table.cells)
		}
	}
}

func TestReadCSVKeepsQuotedNames(t *testing.T) {
	table, err := ReadCSV("x.csv", []byte("block,target,value\n1,\"a, \"\"b\"\"\",10\n"))
	if err != nil || table.cells[`a, "b"`]["1"].Value != 10 {
		t.Errorf("%v: %+v", err, table)
	}
}

func TestReadCSVWithPositions(t *testing.T) {
	table, err := ReadCSV("x.csv", []byte("block,position,target,value\n1,2,a,10\n1,1,b,11\n"))
	if err != nil || table.cells["a"]["1"].Position != 2 || table.cells["b"]["1"].Position != 1 {
		t.Errorf("%v: %+v", err, table)
	}
}

func TestReadCSVRefuses(t *testing.T) {
	const head = "block,target,value\n"
	for _, c := range []struct{ text, want string }{
		{"", "x.csv: the file is empty: the first line names the columns block,target,value"},
		{"\n\n", "x.csv: the file is empty"},
		{"\ufeff", "x.csv: the file is empty"},
		{head, "x.csv: there is no line below the columns"},
		{"1,a,10\n", `x.csv:1: unknown column "1" (there are: block, target, value, position, bound)`},
		{"block,target,value,host\n", `x.csv:1: unknown column "host"`},
		{"Block,target,value\n", `x.csv:1: unknown column "Block"`},
		{"block,target\n", `x.csv:1: there is no column "value"`},
		{"block,block,target,value\n", `x.csv:1: column "block" is given twice`},
		{"block;target;value\n1;a;10\n", `x.csv:1: the columns are separated by ';'`},
		{"\n\nblock,value\n", `x.csv:3: there is no column "target"`},
		{"block\ttarget\tvalue\n", `x.csv:1: the columns are separated by '\t'`},
		{head + "1,a,10\n1,b\n", "x.csv:3: 2 fields, the first line has 3"},
		{head + "1,a,10\n\n1,b,12,5\n", "x.csv:4: 4 fields, the first line has 3: a decimal comma? write 12.5, not 12,5"},
		{head + "1,a,\"12,5\"\n", `x.csv:2: value "12,5" has a comma: write 1234.5, neither 1234,5 nor 1,234.5`},
		{head + "1,a,\n", "x.csv:2: the value is empty"},
		{head + "1,a,fast\n", `x.csv:2: value "fast" is not a decimal number`},
		{head + "1,a,0x10\n", `x.csv:2: value "0x10" is not a decimal number`},
		{head + "1,a,NaN\n", `x.csv:2: value "NaN" is not a decimal number`},
		{head + "1,a,-Inf\n", `x.csv:2: value "-Inf" is not a decimal number`},
		{head + "1,a,1-2\n", `x.csv:2: value "1-2" is not a decimal number`},
		{head + "1,a,10 ms\n", `x.csv:2: value "10 ms" is not a decimal number`},
		{head + "1,a,1e400\n", "x.csv:2: value 1e400 is beyond the numbers"},
		{head + "1,a,1e-400\n", "x.csv:2: value 0 is not above 0"},
		{head + "1,a,0\n", "x.csv:2: value 0 is not above 0: ratios are compared"},
		{head + "1,a,10\n1,b,-3\n", "x.csv:3: value -3 is not above 0"},
		{head + "1,a,10\n1,b,11\n1,a,12\n", "x.csv:4: block 1 has a value of target a already"},
		{"block,target,value,position\n1,a,10\n", "x.csv:2: 3 fields, the first line has 4"},
		{"block,target,value,position\n1,a,10,0\n", `x.csv:2: position "0" is not a whole number from 1 on`},
		{"block,target,value,position\n1,a,10,first\n", `x.csv:2: position "first" is not a whole number from 1 on`},
		{head + " ,a,10\n", "x.csv:2: no block is named"},
		{head + "1,,10\n", "x.csv:2: no target is named"},
		{head + "1,a\x1b[2J,10\n", "x.csv:2: \"a\\x1b[2J\" has characters that cannot be printed"},
		{head + "1,a\xff,10\n", "x.csv:2: \"a\\xff\" has characters that cannot be printed"},
		{head + "1,\"a,10\n", "x.csv:2: "},
		{head + "1,a\"b,10\n", "x.csv:2: "},
		{"\xff\xfeb\x00l\x00", "x.csv:1: the text is UTF-16"},
	} {
		_, err := ReadCSV("x.csv", []byte(c.text))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q: %v, wanted %s", c.text, err, c.want)
		}
	}
}
