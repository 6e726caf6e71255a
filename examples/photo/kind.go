package main

import (
	_ "embed"
	"fmt"
)

// kind is the language of a worker.
type kind string

const (
	inGo     kind = "go"
	inPython kind = "python"
)

// pythonWorker is the program of workers in Python.
//
//go:embed worker.py
var pythonWorker string

// killable is the words of flag -kill, and the kinds of workers that each kills one of, as far as there are any.
var killable = map[string][]kind{
	"each":   {inGo, inPython},
	"go":     {inGo},
	"python": {inPython},
	"none":   nil,
}

// kinds tells how much of something was in which language, for people.
func kinds(n map[kind]int) string {
	if n[inPython] == 0 {
		return fmt.Sprintf("all %d in Go", n[inGo])
	}
	return fmt.Sprintf("%d in Go and %d in Python", n[inGo], n[inPython])
}
