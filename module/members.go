package module

import (
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/follow"
)

// maxMember is the longest name in a file of members, in bytes.
const maxMember = 1024

// parseMembers reads the users in a file of members.
func parseMembers(content []byte) (map[string]struct{}, error) {
	members := make(map[string]struct{})
	n := 0
	for line := range strings.Lines(string(content)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		name := strings.TrimSpace(line)
		switch {
		case name == "":
			continue
		case strings.ContainsAny(name, " \t,;") || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }):
			return nil, fmt.Errorf("line %d: one user a line, without anything beside", n)
		case len(name) > maxMember:
			return nil, fmt.Errorf("line %d: a name of more than %d bytes", n, maxMember)
		}
		if user, domain, ok := strings.Cut(name, "@"); ok {
			name = user + "@" + strings.ToLower(domain)
		}
		members[strings.Clone(name)] = struct{}{}
	}
	return members, nil
}

// loadMembers reads the members of a profile of the generation, and has them followed.
func (a *App) loadMembers(path string, profile int) error {
	loading := true
	f := follow.New(path, func(content []byte) error {
		members, err := parseMembers(content)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if loading {
			a.generation.Profiles[profile].Members = members
			return nil
		}
		a.logger.Info("members read", zap.String("file", path), zap.Int("users", len(members)))
		list := slices.Clone(a.generation.Profiles)
		list[profile].Members = members
		a.engine.SetProfiles(a.generation, list)
		return nil
	})
	a.members = append(a.members, f)
	err := f.Load()
	loading = false
	return err
}

// watchMembers follows the files of members.
func (a *App) watchMembers() {
	if len(a.members) == 0 {
		return
	}
	a.unwatch = follow.Watch(a.members, func(path string, err error) {
		a.logger.Error("the file of members is not taken: they are those that it had before", zap.String("file", path), zap.Error(err))
	})
}
