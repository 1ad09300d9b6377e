//go:build !linux

package main

import "time"

func lockSleeper() {}

func preciseSleep(d time.Duration) { time.Sleep(d) }
