package cli

import (
	"strings"
	"testing"
)

func TestHashPassword(t *testing.T) {
	const (
		// printf %s 'Mufasa:http-auth@example.org:Circle of Life' | sha256sum, md5sum
		sha256 = "Mufasa:http-auth@example.org:SHA-256:7987c64c30e25f1b74be53f966b49b90f2808aa92faf9a00262392d7b4794232\n"
		md5    = "Mufasa:http-auth@example.org:MD5:3d78807defe7de2157e2b0b6573a855f\n"
	)
	who := []string{"--user", "Mufasa", "--realm", "http-auth@example.org"}
	for _, test := range []struct {
		args        []string
		input, want string
	}{
		{[]string{"--plaintext", "Circle of Life"}, "not this one\n", sha256 + md5},
		{nil, "Circle of Life", sha256 + md5},
		{nil, "Circle of Life\r\nmore\n", sha256 + md5},
		{[]string{"-a", "md5"}, "Circle of Life\n", md5},
		{[]string{"--algorithm", "MD5,sha-256"}, "Circle of Life\n", md5 + sha256},
	} {
		cmd := hashPasswordCommand()
		cmd.SetIn(strings.NewReader(test.input))
		prints(t, test.want, cmd, append(who, test.args...)...)
	}
	cmd := hashPasswordCommand()
	cmd.SetIn(strings.NewReader("101\n"))
	prints(t, "This password is easily guessed: it is the user's name, or very short.\n101:r:MD5:fba85a0fd1226566bac9e169c0dafd44\n",
		cmd, "-u", "101", "-r", "r", "-a", "MD5")
}

func TestHashPasswordErrors(t *testing.T) {
	for _, test := range []struct {
		args  string
		input string
		want  string
	}{
		{"-u 101", "secret", "--user and --realm must be given"},
		{"-r r", "secret", "--user and --realm must be given"},
		{"-u a:b -r r", "secret", `user "a:b": the name must have no colon`},
		{`-u 101 -r a"b`, "secret", "must not be empty, and have no quotes"},
		{"-u 101 -r r -a SHA-1", "secret", `"SHA-1" is not an algorithm`},
		{"-u 101 -r r", "", "the password is empty"},
		{"-u 101 -r r", "\nsecret\n", "the password is empty"},
		{"-u 101 -r r secret", "secret", "unknown command"},
	} {
		cmd := hashPasswordCommand()
		cmd.SetIn(strings.NewReader(test.input))
		fails(t, test.want, cmd, strings.Fields(test.args)...)
	}
}
