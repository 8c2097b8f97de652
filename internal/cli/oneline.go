package cli

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
)

// explainOneLine makes the commands that read a Caddyfile explain how to write a block that was
// written in one line. Caddy's parser refuses that before any directive sees it, and says only that
// something stands behind the brace. sub is a command below the root command.
func explainOneLine(sub *cobra.Command) {
	done := false
	cobra.OnInitialize(func() {
		if done {
			return
		}
		done = true
		for _, c := range sub.Root().Commands() {
			run := c.RunE
			if run == nil {
				continue
			}
			c.RunE = func(cmd *cobra.Command, args []string) error {
				err := run(cmd, args)
				if text := oneLine(err); text != "" {
					caddy.Log().Error(text)
				}
				return err
			}
		}
	})
}

var afterBrace = regexp.MustCompile(`Unexpected next token after '{' on same line, at (.+):(\d+)`)

// oneLine returns how to write what an error is about, if that is a block in one line.
func oneLine(err error) string {
	if err == nil {
		return ""
	}
	m := afterBrace.FindStringSubmatch(err.Error())
	if m == nil {
		return ""
	}
	text := fmt.Sprintf("%s:%s: the line ends behind {, and } has a line of its own", m[1], m[2])
	content, _ := os.ReadFile(m[1])
	lines := strings.Split(string(content), "\n")
	n, _ := strconv.Atoi(m[2])
	if n < 1 || n > len(lines) {
		return text
	}
	before, inner, _ := strings.Cut(lines[n-1], "{ ")
	inner, closed := strings.CutSuffix(strings.TrimSpace(inner), "}")
	if !closed || strings.ContainsAny(inner, "{}") {
		return text
	}
	return fmt.Sprintf("%s; write this in three lines: %s{ ⏎ %s ⏎ }",
		text, strings.TrimLeft(before, " \t"), strings.TrimSpace(inner))
}
