package cli

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// encodings are what a file with keys may be written in.
var encodings = []string{"utf-8", "latin1", "utf-16"}

// decodeText returns a file's text as UTF-8. What begins with a byte order mark says itself what it
// is. UTF-8 is checked by whoever can say in which row something else is.
func decodeText(text []byte, encoding string) ([]byte, error) {
	little := bytes.HasPrefix(text, []byte{0xff, 0xfe})
	big := bytes.HasPrefix(text, []byte{0xfe, 0xff})
	switch {
	case little || big || encoding == "utf-16":
		order := binary.ByteOrder(binary.LittleEndian)
		if big {
			order = binary.BigEndian
		}
		if little || big {
			text = text[2:]
		}
		if len(text)%2 != 0 {
			return nil, errors.New("it is not UTF-16: it ends in the middle of a character")
		}
		units := make([]uint16, len(text)/2)
		for i := range units {
			units[i] = order.Uint16(text[2*i:])
		}
		return []byte(string(utf16.Decode(units))), nil
	case encoding == "latin1":
		var out bytes.Buffer
		for _, b := range text {
			if b >= 0x80 && b < 0xa0 {
				out.WriteRune(windows1252[b-0x80])
			} else {
				out.WriteRune(rune(b))
			}
		}
		return out.Bytes(), nil
	case !slices.Contains(encodings, encoding):
		return nil, fmt.Errorf("the encoding %q is none of %s",
			encoding, strings.Join(encodings, ", "))
	}
	return bytes.TrimPrefix(text, []byte("\uFEFF")), nil // spreadsheets write one
}

// windows1252 is what spreadsheets write where Latin-1 has control characters, from 0x80 on.
var windows1252 = []rune("€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ")

// columns are the columns that a CSV file may have.
var columns = []string{
	"user",
	"key",
	"light",
	"color",
	"label",
	"number",
	"action",
	"locked",
	"layer",
	"ttl",
}

func csvRows(text []byte) (rows []keyRow, err error) {
	text, comma, skipped := separator(text)
	reader := csv.NewReader(bytes.NewReader(text))
	reader.TrimLeadingSpace = comma != '\t'
	reader.Comma = comma
	names, err := reader.Read()
	if err == io.EOF {
		return nil, errors.New("it is empty")
	}
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		if err := notUTF8("", name); err != nil {
			return nil, fmt.Errorf("row %d, column %d: %w", 1+skipped, i+1, err)
		}
		names[i] = strings.ToLower(strings.TrimSpace(name))
		if names[i] == "aor" {
			names[i] = "user"
		}
		if !slices.Contains(columns, names[i]) || slices.Contains(names[:i], names[i]) {
			return nil, fmt.Errorf(
				"its first line must name columns, each once: %q is none of %s",
				name,
				strings.Join(columns, ", "),
			)
		}
	}
	if !slices.Contains(names, "user") || !slices.Contains(names, "key") {
		return nil, errors.New(
			"its first line must name the columns user and key, and what else there is",
		)
	}
	for {
		values, err := reader.Read()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil && !errors.Is(err, csv.ErrFieldCount) {
			return nil, err
		}
		line, _ := reader.FieldPos(0)
		rows = append(rows, csvRow(line+skipped, names, values))
	}
}

// separator returns the separator of the fields, which it finds in the first line: where numbers
// have a decimal comma, spreadsheets write semicolons. A first line such as sep=; only names the
// separator and is skipped.
func separator(text []byte) (rest []byte, comma rune, skipped int) {
	first, after, _ := bytes.Cut(text, []byte("\n"))
	first = bytes.TrimRight(first, "\r")
	sep, ok := bytes.CutPrefix(bytes.ToLower(first), []byte("sep="))
	if ok && len(sep) == 1 && bytes.Contains([]byte(",;\t|"), sep) {
		return after, rune(sep[0]), 1
	}
	comma = ','
	for _, other := range [...]rune{';', '\t'} {
		if bytes.Count(first, []byte(string(other))) > bytes.Count(first, []byte(string(comma))) {
			comma = other
		}
	}
	return text, comma, 0
}

// csvRow converts a row to an element of the API. Empty fields are left out.
func csvRow(line int, names, values []string) keyRow {
	r := keyRow{line: line}
	if len(values) != len(names) {
		r.err = fmt.Sprintf(
			"it has %s, and there are %d columns",
			plural(len(values), "field"),
			len(names),
		)
		return r
	}
	fields := make(map[string]any)
	for i, value := range values {
		err := notUTF8(fmt.Sprintf("column %d (%s): ", i+1, names[i]), value)
		if err != nil {
			if r.err == "" {
				r.err = err.Error()
			}
			continue
		}
		switch name := names[i]; {
		case name == "user":
			r.user, fields["aor"] = value, value
		case name == "key":
			fields["key"], err = strconv.Atoi(strings.TrimSpace(value))
		case value == "":
		case name == "locked":
			fields["locked"], err = strconv.ParseBool(value)
		default:
			fields[name] = value
		}
		if err != nil && r.err == "" {
			r.err = fmt.Sprintf("%s: %q is not a valid value", names[i], value)
		}
	}
	r.element, _ = json.Marshal(fields) // has no errors
	return r
}

// notUTF8 returns an error for a text that is not UTF-8.
func notUTF8(where, text string) error {
	if utf8.ValidString(text) {
		return nil
	}
	return fmt.Errorf("%sit is not UTF-8; if a spreadsheet wrote it, give --encoding latin1", where)
}
