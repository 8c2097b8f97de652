package wire

// Method identifies a request method. Methods are case-sensitive (RFC 3261 §7.1). The values may
// change from version to version: don't store them.
type Method uint8

// The methods that have a constant; any other is OtherMethod, and Message.MethodName returns its
// name. NumMethods is the number of constants, for arrays indexed by Method.
const (
	OtherMethod Method = iota
	INVITE
	ACK
	BYE
	CANCEL
	REGISTER
	OPTIONS
	MESSAGE
	NOTIFY
	SUBSCRIBE
	PUBLISH
	INFO
	REFER
	UPDATE
	PRACK
	NumMethods
)

var methodNames = [NumMethods]string{
	"OTHER", "INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "MESSAGE",
	"NOTIFY", "SUBSCRIBE", "PUBLISH", "INFO", "REFER", "UPDATE", "PRACK",
}

// String returns the method's name, or "OTHER" for OtherMethod.
func (m Method) String() string { return methodNames[m] }

// LookupMethod returns the Method with that name, or OtherMethod. "invite" is not INVITE.
func LookupMethod(name []byte) Method {
	if len(name) < 3 {
		return OtherMethod
	}
	var m Method
	switch name[0] {
	case 'I':
		if m = INVITE; name[2] == 'F' {
			m = INFO
		}
	case 'A':
		m = ACK
	case 'B':
		m = BYE
	case 'C':
		m = CANCEL
	case 'R':
		if m = REGISTER; name[2] == 'F' {
			m = REFER
		}
	case 'O':
		m = OPTIONS
	case 'M':
		m = MESSAGE
	case 'N':
		m = NOTIFY
	case 'S':
		m = SUBSCRIBE
	case 'P':
		if m = PRACK; name[1] == 'U' {
			m = PUBLISH
		}
	case 'U':
		m = UPDATE
	}
	if string(name) == methodNames[m] {
		return m
	}
	return OtherMethod
}
