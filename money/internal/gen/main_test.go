package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestTableIsUpToDate(t *testing.T) {
	list, err := os.Open("../../iso4217.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	want, err := generate(list)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../iso4217.gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("iso4217.gen.go is not what iso4217.csv makes: run go generate ./money")
	}
}

func TestBrokenListsAreRefused(t *testing.T) {
	const heading = "code,numeric,minor_units,name\n"
	for list, want := range map[string]string{
		"":      "no currencies",
		heading: "no currencies",
		"code,numeric,name,minor_units\nUSD,840,US Dollar,2\n": `column 3 is "name"`,
		heading + "usd,840,2,US Dollar\n":                      `code is "usd"`,
		heading + "USD,84,2,US Dollar\n":                       `numeric is "84"`,
		heading + "XAU,959,N.A.,Gold\n":                        `minor_units is "N.A."`,
		heading + "USD,840,20,US Dollar\n":                     `minor_units is "20"`,
		heading + "USD,840,2,\n":                               `name is ""`,
		heading + "USD,840,2\n":                                "wrong number of fields",
		heading + "USD,840,2,US Dollar\nEUR,978,2,Euro\n":      "codes must ascend",
		heading + "USD,840,2,US Dollar\nUSD,997,2,US Dollar\n": "codes must ascend",
		heading + "USD,840,2,US Dollar\nUSN,840,2,Next day\n":  "USD and USN share numeric 840",
	} {
		if _, err := generate(strings.NewReader(list)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", list, err, want)
		}
	}
}
