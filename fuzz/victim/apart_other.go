//go:build !linux

package victim

import "syscall"

func apart() *syscall.SysProcAttr { return nil }
