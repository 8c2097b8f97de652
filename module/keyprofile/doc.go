// Package keyprofile is the configuration of function keys, apps.sip.keys: which keys users' Snom
// phones show unless something else says otherwise, and how the phones are told.
//
// In JSON, a profile that gives two keys to the users whose names begin with 1:
//
//	{
//		"profiles": [{
//			"name": "reception",
//			"users": ["1*"],
//			"keys": [
//				{"key": 1, "label": "Front desk", "number": "9", "light": "on", "color": "green"},
//				{"key": 2, "label": "Emergency", "number": "112", "locked": true}
//			]
//		}]
//	}
//
// docs/keys.md has the same as a Caddyfile, and explains how a profile and what the admin API or a
// handler says about the same key go together.
//
// The package holds values: it reads no file and tells no phone. The app does that.
package keyprofile
