//go:build !linux

package main

import (
	"context"
	"errors"
	"math/rand/v2"
)

type cgroup struct{}

func newCgroup(string) (*cgroup, error)              { return nil, errors.ErrUnsupported }
func (*cgroup) add(int) error                        { return errors.ErrUnsupported }
func (*cgroup) killed() (int64, error)               { return 0, errors.ErrUnsupported }
func (*cgroup) remove() error                        { return errors.ErrUnsupported }
func removeCgroup(string)                            {}
func (*torture) squeeze(context.Context, *rand.Rand) {}
