// Package buttons reads and writes application/x-buttons documents, with which a server sets the
// function keys of a Snom phone and a phone reports that one was pressed.
//
// A document is a list of button descriptions with an empty line between them. A description is a
// list of properties, one a line, written name=value; its first property is always k, the name of
// the key. Values are UTF-8 text in which no control character may stand: the format has no way to
// escape one.
//
// A property that a description leaves out falls back to the phone's default, so a description is
// never a patch: whoever writes one writes all of it.
package buttons
