package main

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the system end a child that does not see the end of its input, should this process be killed.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
