package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// paper is the terminal, or a file that must stay readable.
type paper struct {
	to       io.Writer
	terminal bool
	colour   bool
}

func newPaper(file *os.File) *paper {
	terminal := term.IsTerminal(int(file.Fd()))
	return &paper{to: file, terminal: terminal, colour: terminal && os.Getenv("NO_COLOR") == ""}
}

// The escape sequences in use.
const (
	bold  = "1"
	green = "32"
	red   = "31"
	dim   = "2"
)

func (p *paper) paint(style, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (p *paper) say(format string, arguments ...any) {
	fmt.Fprintf(p.to, format+"\n", arguments...)
}

func (p *paper) heading(number, of int, title string) {
	p.say("\n%s %s", p.paint(dim, fmt.Sprintf("[%d/%d]", number, of)), p.paint(bold, title))
}

func (p *paper) checked(fact string) { p.say("  %s %s", p.paint(green, "ok"), fact) }

func (p *paper) failure(step string, err error) {
	p.say("\n%s %s\n  %v", p.paint(red, "FAILED:"), step, err)
}

// raw shows bytes as hexdump -C does.
func (p *paper) raw(bytes []byte, lines int) {
	for at := 0; at < len(bytes) && at < 16*lines; at += 16 {
		row := bytes[at:min(at+16, len(bytes))]
		text := strings.Map(func(r rune) rune {
			if r < ' ' || r > '~' {
				return '.'
			}
			return r
		}, latin1(row))
		p.say("    %s  %-47s  %s", p.paint(dim, fmt.Sprintf("%04x", at)), fmt.Sprintf("% x", row), text)
	}
	if rest := len(bytes) - 16*lines; rest > 0 {
		p.say("    ... and %d bytes more", rest)
	}
}

// latin1 makes one rune of each byte.
func latin1(bytes []byte) string {
	runes := make([]rune, len(bytes))
	for i, b := range bytes {
		runes[i] = rune(b)
	}
	return string(runes)
}

// meanwhile shows on a terminal that a wait goes on, until the returned function
// is called.
func (p *paper) meanwhile(what string) (stop func()) {
	if !p.terminal {
		p.say("  %s ...", what)
		return func() {}
	}
	began := time.Now()
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(200 * time.Millisecond)
		defer ticker.Stop()
		for {
			fmt.Fprintf(p.to, "\r\x1b[K  %s ... %.0f s", what, time.Since(began).Seconds())
			select {
			case <-end:
				fmt.Fprint(p.to, "\r\x1b[K")
				return
			case <-ticker.C:
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// table is the end of the demo: each step, what was checked in it, and its time.
func (p *paper) table(steps []step) {
	width := len("step")
	for _, one := range steps {
		width = max(width, len(one.name))
	}
	p.say("\n%s", p.paint(bold, fmt.Sprintf("%-*s  %7s  %s", width, "step", "time", "checked")))
	for _, one := range steps {
		for i, fact := range one.facts {
			name, took := "", ""
			if i == 0 {
				name, took = one.name, seconds(one.took)
			}
			p.say("%-*s  %7s  %s", width, name, took, fact)
		}
	}
}
