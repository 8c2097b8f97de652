package cli

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddysip/caddysip/handler/handlertest"
	_ "github.com/caddysip/caddysip/handler/register"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
	"github.com/caddysip/caddysip/internal/store"
	_ "github.com/caddysip/caddysip/module/admin"
)

// startPhones runs a server at which phones can register.
func startPhones(t *testing.T, extra string) (s *handlertest.Server, at, text string) {
	t.Helper()
	api, addr := handlertest.FreeAddr(t).String(), handlertest.FreeAddr(t)
	text = fmt.Sprintf("{\n\tadmin %s\n\tsip {\n\t\tdomain example.com\n%s\t\t%s {\n\t\t\tregister\n\t\t}\n\t}\n}\n", api, extra, addr)
	return handlertest.StartCaddyfile(t, addr, text), "--address=" + api, text
}

func registerPhone(p *handlertest.Peer, user string) {
	p.Send("REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/{transport} {me};branch={branch};rport\nMax-Forwards: 70\nFrom: <sip:" + user +
		"@example.com>;tag=f\nTo: <sip:" + user + "@example.com>\nCall-ID: " + user + "\nCSeq: 1 REGISTER\nContact: <sip:" + user + "@" +
		p.Addr.String() + ">;expires=600\nUser-Agent: snomD785/10.1.159.12\n\n")
	p.Expect("SIP/2.0 200")
}

// times are what differs from one run to the next.
var times = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)

func printsTimes(t *testing.T, want string, cmd *cobra.Command, args ...string) {
	t.Helper()
	got, err := run(t, cmd, args...)
	if got = times.ReplaceAllString(got, "<time>"); err != nil || got != want {
		t.Errorf("%s %q prints\n%s%v\nwant\n%s", cmd.Name(), args, got, err, want)
	}
}

func TestRegistrations(t *testing.T) {
	s, at, _ := startPhones(t, "")
	p := s.UDP()
	registerPhone(p, "101")
	registerPhone(p, "102")
	head := "USER             CONTACT                  SOURCE           TRANSPORT  PHONE                 EXPIRES\n"
	row := func(user string) string {
		a := p.Addr.String()
		return fmt.Sprintf("%s@example.com  sip:%s@%s  %s  udp        snomD785/10.1.159.12  <time>\n", user, user, a, a)
	}
	if len(p.Addr.String()) == len("127.0.0.1:50000") {
		printsTimes(t, head+row("101")+row("102"), registrationsCommand(), at)
		printsTimes(t, head+row("102"), registrationsCommand(), at, "--aor", "102")
	}
	got, err := run(t, registrationsCommand(), at, "--json", "--aor=101")
	var list []struct {
		AOR      string
		Bindings []any
	}
	if e := json.Unmarshal([]byte(got), &list); e != nil || err != nil || len(list) != 1 || list[0].AOR != "101@example.com" || len(list[0].Bindings) != 1 {
		t.Errorf("%s, %v, %v", got, e, err)
	}
	prints(t, "[]\n", registrationsCommand(), at, "--json", "--aor=103")
	fails(t, "is no address-of-record", registrationsCommand(), at, "--aor=@")
}

// TestPhones lists a phone that has refused a key.
func TestPhones(t *testing.T) {
	s, at, _ := startPhones(t, "")
	p := s.UDP()
	refused := s.Metric("caddy_sip_key_pushes_total", "outcome=refused")
	prints(t, "[]\n", phonesCommand(), at, "--json")
	registerPhone(p, "101")
	if _, err := run(t, keysSetCommand(), at, "101", "2", "--light=on"); err != nil {
		t.Fatal(err)
	}
	p.Answer(p.Expect("MESSAGE"), "403 Forbidden", "t")
	s.Await(refused+1, "caddy_sip_key_pushes_total", "outcome=refused")
	want := "USER             MODEL  FIRMWARE     SOURCE           TRANSPORT  SINCE                STATE    KEYS  " +
		"REFUSED  ERROR\n" +
		"101@example.com  D785   10.1.159.12  " + p.Addr.String() +
		"  udp        <time>               refused  0/1   1        the phone answered 403\n"
	if len(p.Addr.String()) == len("127.0.0.1:50000") {
		got, err := run(t, phonesCommand(), at, "--state", "refused", "--aor", "101")
		if got = strings.Replace(times.ReplaceAllString(got, "<time>"), "<time>  ", "<time>               ",
			1); err != nil || got != want {
			t.Errorf("it prints\n%s%v\nwant\n%s", got, err, want)
		}
	}
	prints(t, "[]\n", phonesCommand(), at, "--state=retrying", "--json")
	fails(t, `state: "broken" must be one of`, phonesCommand(), at, "--state=broken")
}

// TestUnknownUsers sets keys for users who are not known: there is a warning, and no error.
func TestUnknownUsers(t *testing.T) {
	s, at, _ := startPhones(t, "")
	registerPhone(s.UDP(), "101")
	got, err := runAll(t, keysSetCommand(), at, "1O1", "2", "--light=on")
	if err != nil || !strings.HasPrefix(got, "warning: nobody is known as 1O1@example.com: ") {
		t.Errorf("%s%v", got, err)
	}
	if got, err = runAll(t, keysSetCommand(), at, "101", "2", "--light=on"); err != nil ||
		strings.Contains(got, "warning") {
		t.Errorf("%s%v", got, err)
	}
	file := filepath.Join(t.TempDir(), "keys.csv")
	if err := os.WriteFile(file, []byte("user,key\n101,1\n1O2,1\n101,x\n1O3,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err = runAll(t, keysSetCommand(), at, "--from", file)
	lines := strings.Split(got, "\n")
	if err == nil || err.Error() != "1 row not set" || len(lines) != 5 ||
		!strings.HasPrefix(lines[0], "row 3, 1O2: warning: nobody is known as 1O2@example.com: ") ||
		!strings.HasPrefix(lines[1], "row 5, 1O3: warning: ") || !strings.HasPrefix(lines[2], "row 4, 101: key: ") ||
		lines[3] != "3 rows of 4 set" {
		t.Errorf("%s%v", got, err)
	}
	got, _ = runAll(t, keysSetCommand(), at, "--json", "--from", file)
	var result struct{ Warnings []warning }
	if err := json.Unmarshal([]byte(got), &result); err != nil || len(result.Warnings) != 2 ||
		result.Warnings[1].Row != 5 || result.Warnings[1].User != "1O3" {
		t.Errorf("%v, %+v", err, result)
	}
}

func TestKeys(t *testing.T) {
	s, at, _ := startPhones(t, "")
	head := "KEY  LIGHT  COLOR  LABEL       NUMBER  ACTION  LAYER          EXPIRES\n"
	printsTimes(t, head+"2    on     red    Front desk  9       invite  admin, locked  <time>\n", keysSetCommand(), at, "101", "2",
		"--light=on", "--color", "red", "--label", "Front desk", "--number=9", "--action=invite", "--locked", "--ttl=5m")
	prints(t, "KEY  LIGHT  COLOR  LABEL      NUMBER  ACTION  LAYER  EXPIRES\n3                  \"a\\u202e\"                  user\n", keysSetCommand(), at,
		"101@example.com", "3", "--layer", "user", "--label", "a\u202e")
	got, err := run(t, keysGetCommand(), at, "101", "3", "--json")
	var user struct {
		AOR  string
		Keys []keys.Effective
	}
	if e := json.Unmarshal([]byte(got), &user); e != nil || err != nil || user.AOR != "101@example.com" || len(user.Keys) != 1 || user.Keys[0].Layer != keys.User {
		t.Errorf("%s, %v, %v", got, e, err)
	}
	fails(t, "nothing is said about key 4 of 101@example.com", keysGetCommand(), at, "101", "4")
	fails(t, "light: must be one of", keysSetCommand(), at, "101", "2", "--light=pink")
	fails(t, `key: must be 1 to 999, not "x"`, keysSetCommand(), at, "101", "x")
	fails(t, "layer: ", keysSetCommand(), at, "101", "2", "--layer=profile")
	fails(t, "a user and a key must be given, or --from", keysSetCommand(), at, "101")
	fails(t, "either a user and a key are given, or --from", keysSetCommand(), at, "101", "2", "--from=x")
	fails(t, "none of the others can be", keysSetCommand(), at, "--from=x", "--light=on")

	empty := "KEY  LIGHT  COLOR  LABEL  NUMBER  ACTION  LAYER  EXPIRES\n"
	prints(t, "KEY  LIGHT  COLOR  LABEL      NUMBER  ACTION  LAYER  EXPIRES\n3                  \"a\\u202e\"                  user\n", keysClearCommand(), at, "101")
	fails(t, "the admin layer says nothing about key 3", keysClearCommand(), at, "101", "3")
	prints(t, empty, keysClearCommand(), at, "101", "3", "--layer=user")
	fails(t, "101@example.com is not registered", keysPushCommand(), at, "101")

	// Without a phone nobody acknowledges it.
	got, err = run(t, keysSetCommand(), at, "102", "2", "--light=on", "--wait=1s")
	if err == nil || !strings.HasPrefix(err.Error(), "nobody has acknowledged it") || !strings.Contains(got, "2    on") {
		t.Errorf("%s, %v", got, err)
	}
	prints(t, "KEY  LIGHT  COLOR  LABEL  NUMBER  ACTION  LAYER  EXPIRES\n3    on                                   admin\n", keysSetCommand(), at, "103", "3", "--light=on")

	// With a phone, what it answers.
	p := s.UDP()
	registerPhone(p, "101")
	var answering sync.WaitGroup
	answer := func(status string) {
		answering.Wait()
		answering.Go(func() {
			m := p.Expect("MESSAGE")
			p.Answer(m, status, "t")
			p.Ignore(m)
		})
	}
	defer answering.Wait()
	phone := func(head, row string) string {
		return fmt.Sprintf("\nPHONE%s  MODEL  STATE    KEY  %s\nsip:101@%s  D785   current  2    %s\n", strings.Repeat(" ", len("sip:101@")+len(p.Addr.String())-5),
			head, p.Addr, row)
	}
	answer("200 OK")
	printsTimes(t, "KEY  LIGHT  COLOR  LABEL  NUMBER  ACTION  LAYER  EXPIRES\n2    on                                   admin\n"+
		phone("ANSWER        SINCE", "acknowledged  <time>"), keysSetCommand(), at, "101", "2", "--light=on", "--wait=30s")
	answer("403 No")
	got, err = run(t, keysPushCommand(), at, "101", "--wait=30s")
	if err == nil || !strings.Contains(err.Error(), "has not acknowledged key 2: the phone answered 403") ||
		!strings.Contains(got, "the phone answered 403") {
		t.Errorf("%s, %v", got, err)
	}
	answer("200 OK")
	if got, err = run(t, keysClearCommand(), at, "101", "2", "--wait=30s"); err != nil {
		t.Errorf("%s, %v", got, err)
	}
}

func TestImport(t *testing.T) {
	s, at, _ := startPhones(t, "\t\tstorage memory\n")
	store := inside.AppOf(s.App()).Engine.Keys
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var csv strings.Builder
	csv.WriteString("\uFEFFUser, Key,Label,light,locked,layer\r\n")
	const rows = 2300
	for i := range rows {
		switch i {
		case 5:
			csv.WriteString("1005,x,a,,,\n")
		case 600:
			csv.WriteString("1600,1,a,pink,,\n")
		case 601:
			csv.WriteString("1601,1,a\n")
		case 2299:
			csv.WriteString("3299@example.net,1,a,on,,\n")
		case 700:
			csv.WriteString("1700,1,\"two\nlines\",on,,\n")
		case 701:
			csv.WriteString("1701,1,\"Front desk, \"\"1\"\"\",off,true,\n")
		case 702:
			csv.WriteString("1702,1,mine,,,user\n")
		default:
			fmt.Fprintf(&csv, "%d,1,Label %d,on,,\n", 1000+i, i)
		}
	}
	got, err := run(t, keysSetCommand(), at, "--from", file("keys.csv", csv.String()))
	want := `row 7, 1005: key: "x" is not a valid value
row 602, 1600: light: must be one of on off hold park pickup message offline seized record error
row 603: it has 3 fields, and there are 6 columns
row 702, 1700: label: must not contain the control character U+000A
row 2302, 3299@example.net: aor: "3299@example.net" is not of a domain that this server serves
2295 rows of 2300 set
`
	if got != want || err == nil || err.Error() != "5 rows not set" {
		t.Errorf("it prints\n%s%v\nwant\n%s", got, err, want)
	}
	if n := store.Len(); n != 2295 {
		t.Errorf("%d users have keys", n)
	}
	for user, want := range map[string]string{
		"1701": `[{"key":1,"light":"off","label":"Front desk, \"1\"","layer":"admin","locked":true}]`,
		"1702": `[{"key":1,"label":"mine","layer":"user"}]`,
		"3298": `[{"key":1,"light":"on","label":"Label 2298","layer":"admin"}]`,
		"1005": `null`,
	} {
		if got, _ := json.Marshal(store.Effective(user+"@example.com", keys.Phone{})); string(got) != want {
			t.Errorf("%s has %s, want %s", user, got, want)
		}
	}
	path := file("keys.json", `[{"user": "201", "key": 1, "label": "x"}, {"aor": "202", "key": 2, "layer": "admin"}, {"aor": "203"}, 5]`)
	got, err = run(t, keysSetCommand(), at, "--from", path, "--json", "--layer=event", "--ttl=1h")
	want = `{
  "failed": [
    {
      "row": 3,
      "user": "203",
      "error": "key: must be 1 to 999, not 0"
    },
    {
      "row": 4,
      "user": "",
      "error": "reading the body: it must be something else than a JSON number"
    }
  ],
  "set": 2,
  "warnings": [
    {
      "row": 1,
      "user": "201",
      "warning": "%s"
    },
    {
      "row": 2,
      "user": "202",
      "warning": "%s"
    }
  ]
}
`
	const nobody = "nobody is known as %d@example.com: no phone has registered so since the server started, and no " +
		"user or member has that name. The key waits for such a phone"
	want = fmt.Sprintf(want, fmt.Sprintf(nobody, 201), fmt.Sprintf(nobody, 202))
	if got != want || err == nil || err.Error() != "2 rows not set" {
		t.Errorf("it prints\n%s%v\nwant\n%s", got, err, want)
	}
	if k := store.Layer("201@example.com", keys.Event); len(k) != 1 || k[0].Expires.IsZero() || len(store.Layer("202@example.com", keys.Admin)) != 1 {
		t.Errorf("201 has %v", k)
	}
	cmd := keysSetCommand()
	cmd.SetIn(strings.NewReader("user,key\n204,1\n"))
	prints(t, "1 row of 1 set\n", cmd, at, "--from=-")
	prints(t, "0 rows of 0 set\n", keysSetCommand(), at, "--from", file("none.csv", "user,key\n"))
	for text, want := range map[string]string{
		"":                       "it is empty",
		"user,lamp\n":            `"lamp" is none of user, key`,
		"user,user\n":            "each once",
		"user,label\n":           "must name the columns user and key",
		"user,key\n\"101,1":      "extraneous or missing \"",
		"[{\"aor\": \"101\"},\n": "unexpected end",
	} {
		fails(t, want, keysSetCommand(), at, "--from", file("wrong", text))
	}
	fails(t, "no such file", keysSetCommand(), at, "--from", filepath.Join(t.TempDir(), "none"))
	got, err = run(t, keysSetCommand(), "--address=127.0.0.1:1", "--from", path)
	if err == nil || !strings.HasPrefix(err.Error(), "4 rows from row 1 on not set: asking the admin API at 127.0.0.1:1") {
		t.Errorf("%s%v", got, err)
	}
}

// TestSpreadsheets imports what spreadsheets write.
func TestSpreadsheets(t *testing.T) {
	s, at, _ := startPhones(t, "\t\tstorage memory\n\t\tkeys {\n\t\t\tprofile a {\n\t\t\t\tusers 1*\n\t\t\t}\n\t\t}\n")
	store := inside.AppOf(s.App()).Engine.Keys
	utf16 := func(order binary.AppendByteOrder, text string) (out string) {
		for _, r := range text {
			out += string(order.AppendUint16(nil, uint16(r)))
		}
		return out
	}
	const label = `[{"key":1,"label":"Tür 5 €","number":"9","layer":"admin"}]`
	user := 100
	for _, tc := range []struct{ name, text, encoding string }{
		{"utf-8", "user,key,label,number\n{},1,Tür 5 €,9\n", ""},
		{"semicolons", "user;key;label;number\r\n{};1;Tür 5 €;9\r\n", ""},
		{"tabs", "user\tkey\tlabel\tnumber\n{}\t1\tTür 5 €\t9\n", ""},
		{"named separator", "sep=;\r\nuser;key;label;number\r\n{};1;Tür 5 €;9\r\n", ""},
		{"latin1", "user;key;label;number\n{};1;T\xfcr 5 \x80;9\n", "latin1"},
		{"utf-16", "\xff\xfe" + utf16(binary.LittleEndian, "user\tkey\tlabel\tnumber\n{}\t1\tTür 5 €\t9\n"), ""},
		{"utf-16, big", "\xfe\xff" + utf16(binary.BigEndian, "user,key,label,number\n{},1,Tür 5 €,9\n"), "utf-8"},
		{"utf-16, no mark", utf16(binary.LittleEndian, "user,key,label,number\n{},1,Tür 5 €,9\n"), "utf-16"},
		{"json", `[{"user": "{}", "key": 1, "label": "Tür 5 €", "number": "9"}]`, ""},
		{"json, latin1", "[{\"user\": \"{}\", \"key\": 1, \"label\": \"T\xfcr 5 \x80\", \"number\": \"9\"}]", "latin1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			user++
			name := strconv.Itoa(user)
			text := strings.Replace(tc.text, "{}", name, 1)
			for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
				text = strings.Replace(text, utf16(order, "{}"), utf16(order, name), 1)
			}
			cmd := keysSetCommand()
			cmd.SetIn(strings.NewReader(text))
			args := []string{at, "--from=-"}
			if tc.encoding != "" {
				args = append(args, "--encoding", tc.encoding)
			}
			prints(t, "1 row of 1 set\n", cmd, args...)
			if got, _ := json.Marshal(store.Effective(name+"@example.com", keys.Phone{})); string(got) != label {
				t.Errorf("%s has %s", name, got)
			}
		})
	}
	for text, want := range map[string]string{
		"user;key;label\n101;1;x\n102;1;T\xfcr\n": "row 3, 102: column 3 (label): it is not UTF-8; if a spreadsheet " +
			"wrote it, give --encoding latin1\n1 row of 2 set\n",
		"user,key\n101,1\n101,2\n101,1\n": "row 4, 101: key: 1 is there twice: row 2 has it too\n" +
			"2 rows of 3 set\n",
		"user,key\n101,1\nsip:101,1\n": "row 3, sip:101: key: 1 of 101@example.com is there twice: " +
			"element 0 has it too\n1 row of 2 set\n",
	} {
		cmd := keysSetCommand()
		cmd.SetIn(strings.NewReader(text))
		if got, err := run(t, cmd, at, "--from=-"); got != want || err == nil {
			t.Errorf("it prints\n%s%v\nwant\n%s", got, err, want)
		}
	}
	for _, tc := range []struct{ text, encoding, want string }{
		{"user,key,T\xfcr\n", "utf-8", "row 1, column 3: it is not UTF-8"},
		{"sep=,\nuser,key,T\xfcr\n", "utf-8", "row 2, column 3: it is not UTF-8"},
		{"[{\"user\": \"101\",\n\"label\": \"T\xfcr\"}]", "utf-8", "line 2, column 12 is not UTF-8"},
		{"user,key\n101,1\n", "utf-16", "it ends in the middle of a character"},
		{"user,key\n", "ebcdic", `the encoding "ebcdic" is none of utf-8, latin1, utf-16`},
	} {
		cmd := keysSetCommand()
		cmd.SetIn(strings.NewReader(tc.text))
		fails(t, tc.want, cmd, at, "--from=-", "--encoding", tc.encoding)
	}
	fails(t, "--label: it is not UTF-8", keysSetCommand(), at, "101", "1", "--label", "T\xfcr")
}

// lines hands over what is printed, line by line.
type lines struct{ c chan string }

func (l lines) Write(p []byte) (int, error) {
	l.c <- string(p)
	return len(p), nil
}

func TestEvents(t *testing.T) {
	s, at, text := startPhones(t, "")
	for _, format := range []string{"--json", "--json=false"} {
		ctx, cancel := context.WithCancel(t.Context())
		out := lines{make(chan string, 100)}
		cmd := eventsCommand()
		cmd.SetOut(out)
		cmd.SetErr(io.Discard)
		cmd.SetArgs([]string{at, format})
		done := make(chan error)
		go func() { done <- cmd.ExecuteContext(ctx) }()
		next := func() string {
			t.Helper()
			select {
			case line := <-out.c:
				return line
			case <-time.After(20 * time.Second):
				t.Fatal("nothing is told")
			}
			return ""
		}
		// It is connected when it tells something.
		bus := inside.AppOf(s.App()).Engine.Events
		for told := false; !told; {
			bus.Publish("begun", nil)
			select {
			case <-out.c:
				told = true
			case <-time.After(10 * time.Millisecond):
			}
		}
		key := func(label string) {
			t.Helper()
			if _, err := run(t, keysSetCommand(), at, "101", "2", "--label", label, "--light=on"); err != nil {
				t.Fatal(err)
			}
		}
		wants := func(label string) {
			t.Helper()
			line := next()
			for strings.Contains(line, "begun") {
				line = next()
			}
			want := "<time>  key_changed       101@example.com  key 2: on " + label + "\n"
			if format == "--json" {
				want = `"key":2,"light":"on","label":"` + label + `"`
			}
			if line = times.ReplaceAllString(line, "<time>"); !strings.Contains(line, want) || strings.Count(line, "\n") != 1 {
				t.Errorf("it prints %q, want %q", line, want)
			}
		}
		key("one " + format)
		wants("one " + format)
		// Another configuration ends the connection, and nothing is missed.
		text += "\n"
		s.Load(strings.Replace(text, "register", "register {\n\t\t\t\tmax_contacts 5"+strings.Repeat("0", len(format))+"\n\t\t\t}", 1))
		inside.AppOf(s.App()).Engine.Events.Publish("between", map[string]any{"b": 1, "a": "x y"})
		line := next()
		for strings.Contains(line, "begun") {
			line = next()
		}
		if !strings.Contains(line, "between") || format != "--json" && !strings.HasSuffix(line, "  a=x y  b=1\n") {
			t.Errorf("after the interruption it prints %q", line)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	fails(t, "asking the admin API at 127.0.0.1:1", eventsCommand(), "--address", "127.0.0.1:1")
}

func TestBackup(t *testing.T) {
	_, at, _ := startPhones(t, "")
	if _, err := run(t, keysSetCommand(), at, "101", "2", "--label=kept"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "copy.db")
	got, err := run(t, backupCommand(), at, path)
	if err != nil || !strings.HasPrefix(got, path+" has ") {
		t.Fatalf("%s%v", got, err)
	}
	b, err := store.OpenBolt(path)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := b.Get(t.Context(), "keys", "101@example.com"); err != nil || !strings.Contains(string(e.Value), "kept") {
		t.Errorf("the copy has %q, %v", e.Value, err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	fails(t, "is there already", backupCommand(), at, path)
	if got, err := run(t, backupCommand(), at, "-"); err != nil || len(got) < 4096 {
		t.Errorf("the standard output has %d bytes: %v", len(got), err)
	}
	fails(t, "writing the copy", backupCommand(), at, filepath.Join(dir, "none", "copy.db"))
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("there are %v, %v", entries, err)
	}
}

func TestCompletion(t *testing.T) {
	s, at, _ := startPhones(t, "")
	registerPhone(s.UDP(), "101")
	complete := func(args ...string) string {
		t.Helper()
		root := &cobra.Command{Use: "caddysip"}
		root.AddCommand(keysCommand(), registrationsCommand())
		var out strings.Builder
		root.SetOut(&out)
		root.SetErr(io.Discard)
		root.SetArgs(append([]string{"__complete"}, args...))
		if err := root.Execute(); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	for want, args := range map[string][]string{
		"101@example.com\n:4\n":                   {"keys", "get", at, "10"},
		"red\ngreen\norange\nlocal\nremote\n:4\n": {"keys", "set", "101", "2", "--color", ""},
		"admin\nuser\nevent\n:4\n":                {"keys", "clear", "--layer", ""},
		":4\n":                                    {"keys", "push", at, "9"},
	} {
		if got := complete(args...); got != want {
			t.Errorf("%q is completed by %q, want %q", args, got, want)
		}
	}
	if got := complete("keys", "set", ""); !strings.Contains(got, ":") {
		t.Errorf("%q", got)
	}
}
