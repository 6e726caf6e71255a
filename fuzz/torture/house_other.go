//go:build !linux

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
)

func enter(context.Context, string) (bool, error) { return false, errors.ErrUnsupported }
func mountTmpfs(string) error                     { return errors.ErrUnsupported }
func resizeTmpfs(string, uint64) error            { return errors.ErrUnsupported }
func usedBytes(string) (uint64, error)            { return 0, errors.ErrUnsupported }
func reserve(*os.File, int64, int64) error        { return errors.ErrUnsupported }
func isFull(error) bool                           { return false }
func ownPids(*exec.Cmd)                           {}
