package module

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Status is a status code in a configuration: in JSON a number or a string, which may have
// placeholders.
type Status string

// MarshalJSON writes a number where it can.
func (s Status) MarshalJSON() ([]byte, error) {
	if n, err := strconv.Atoi(string(s)); err == nil {
		return json.Marshal(n)
	}
	return json.Marshal(string(s))
}

// UnmarshalJSON reads a number or a string.
func (s *Status) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, (*string)(s))
	}
	var n int
	if err := json.Unmarshal(data, &n); err != nil {
		return err
	}
	*s = Status(strconv.Itoa(n))
	return nil
}

// Validate refuses what is no status from least to 699, unless it has placeholders.
func (s Status) Validate(least int) error {
	if strings.Contains(string(s), "{") {
		return nil
	}
	_, err := parseStatus(string(s), least)
	return err
}

// Of returns the code for a request. An error of it is answered 500.
func (s Status) Of(r *Request, least int) (int, error) {
	n, err := parseStatus(r.Replace(string(s)), least)
	if err != nil {
		return 0, Error(500, err)
	}
	return n, nil
}

func parseStatus(s string, least int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > 699 {
		return 0, fmt.Errorf("%q is not a status code from %d to 699", s, least)
	}
	return n, nil
}
