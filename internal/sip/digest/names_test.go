package digest

import "testing"

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"101": true, "101@example.com": true, "Jürgen Müller": true, "a#b": true, "": false, "a:b": false, "a\nb": false, "a\x7f": false, " a": false,
		"a\t": false, "#a": false,
	} {
		if err := CheckUser(name); (err == nil) != want {
			t.Errorf("user %q: %v", name, err)
		}
	}
	for realm, want := range map[string]bool{"example.com": true, "[2001:db8::1]": true, "Our house": true, "": false, `a"b`: false, `a\b`: false, "a\r\nb": false} {
		if err := CheckRealm(realm); (err == nil) != want {
			t.Errorf("realm %q: %v", realm, err)
		}
	}
	for password, want := range map[string]bool{"101": true, "12345": true, "ÄÖÜäö": true, "123456": false, "reception": true, "reception1": false} {
		user := "reception"
		if password == "101" {
			user = password
		}
		if Weak(user, password) != want {
			t.Errorf("password %q of %s", password, user)
		}
	}
}
