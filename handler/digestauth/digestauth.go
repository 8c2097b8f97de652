package digestauth

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/ban"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/metrics"
	"github.com/caddysip/caddysip/internal/sip/digest"
	"github.com/caddysip/caddysip/internal/sip/routetoken"
	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(&DigestAuth{})
}

// The defaults.
const (
	// DefaultRealm is the realm where no domain is configured.
	DefaultRealm = "caddysip"

	// DefaultNonceLifetime is as long as a registration lasts with the registrar's defaults, so
	// that phones that use a nonce for several requests, as Snom's and those with pjsip do, can
	// refresh it without being challenged.
	DefaultNonceLifetime = 10 * time.Minute

	DefaultFailures = 20
	DefaultWindow   = time.Minute
	DefaultBan      = 5 * time.Minute
)

// What Identity and URI may be.
const (
	Own = "own"
	Any = "any"
)

// DigestAuth challenges requests, and lets those pass that come back with the right credentials
// (RFC 3261 §22, RFC 8760).
//
// ACK and CANCEL pass, for they cannot be challenged, and so does what belongs to a call that was
// set up through the server. Credentials for the realm are taken out of every request that passes.
type DigestAuth struct {
	// The realm, which users' passwords are for; it must not change when their hashes are
	// configured. Placeholders are allowed. Default: the first of the domains that are served;
	// without any, caddysip.
	Realm string `json:"realm,omitempty"`

	// The users with their credentials.
	Users []User `json:"users,omitempty"`

	// A file with a line user:realm:algorithm:HA1 for each user and algorithm, as "caddysip sip
	// hash-password" prints them. It is read again when it changes. Lines for other realms are
	// passed over. Placeholders are allowed.
	UsersFile string `json:"users_file,omitempty"`

	// Modules that know users. Of users, the file and these, in this order, the first that knows a
	// user counts.
	ProvidersRaw []json.RawMessage `json:"providers,omitempty" caddy:"namespace=sip.authentication.providers inline_key=provider"`

	// The algorithms to offer, MD5, SHA-256 and SHA-512-256, the preferred one first. Default:
	// SHA-256 and MD5, as far as the configured hashes allow it for all users; Snom phones get MD5
	// first, and a few clients that give up at any other only MD5.
	Algorithms []string `json:"algorithms,omitempty"`

	// The algorithms for some clients. The first whose user agent matches counts.
	Clients []Client `json:"clients,omitempty"`

	// For how long a nonce is good. Default: 10 minutes.
	NonceLifetime caddy.Duration `json:"nonce_lifetime,omitempty"`

	// Who a user may say to be, in From, and in To of a REGISTER: own, the address-of-record with
	// the user's name, or any. Default: own.
	Identity string `json:"identity,omitempty"`

	// For which Request-URI credentials must have been made: own, the request's (RFC 7616 §3.4.6),
	// or any, for clients that write another one there. With any, somebody on the way can have the
	// credentials reach another number. Default: own.
	URI string `json:"uri,omitempty"`

	// So many wrong answers within the window have their source banned, or, where users are at that
	// source, the user refused there; negative: nobody is. Default: 20.
	Failures int `json:"failures,omitempty"`

	// The time in which failures are counted. Default: 1 minute.
	FailureWindow caddy.Duration `json:"failure_window,omitempty"`

	// How long a source is banned, or a user refused. Default: 5 minutes.
	Ban caddy.Duration `json:"ban,omitempty"`

	app       *module.App
	in        *inside.App
	logger    *zap.Logger
	realm     []byte
	domain    string // that users belong to; empty: to any that is served
	order     []digest.Algorithm
	nonces    *digest.Nonces
	tokens    routetoken.Signer
	list      *directory
	file      *usersFile
	providers []module.AuthenticationProvider
	blocking  bool                         // one of the providers may block
	decoyHA1  [digest.NumAlgorithms]string // checked against where a user is not known
	limit     *limit                       // nil: nobody is banned
	logged    *ban.Marks                   // users at sources of whom was logged lately why they were refused
}

// CaddyModule returns the Caddy module information.
func (*DigestAuth) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.digest_auth", New: func() caddy.Module { return new(DigestAuth) }}
}

// Provision reads the users.
func (h *DigestAuth) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	server, err := module.ServerFrom(ctx)
	if err != nil {
		return err
	}
	h.app = server.App()
	h.in = inside.AppOf(h.app)
	h.tokens.Site, h.tokens.Calls = h.in, h.in.Engine.Calls
	h.nonces = digest.Shared()
	if err := metrics.Register(ctx.GetMetricsRegistry(), authentications); err != nil {
		return err
	}
	repl := caddy.NewReplacer()
	if err := h.provisionRealm(); err != nil {
		return err
	}
	if err := h.provisionOptions(); err != nil {
		return err
	}
	return h.provisionUsers(ctx, repl)
}

// Authenticates implements module.Authenticator.
func (*DigestAuth) Authenticates() bool { return true }

// provisionRealm finds out what the realm is, and whether users belong to one domain.
func (h *DigestAuth) provisionRealm() error {
	name, err := module.ReplaceGlobal(h.Realm)
	switch {
	case err != nil:
		return fmt.Errorf("realm: %w", err)
	case name != "":
	case len(h.app.Domains) > 0:
		name = h.app.Domains[0]
	default:
		name = DefaultRealm
	}
	if err := digest.CheckRealm(name); err != nil {
		return err
	}
	h.realm = []byte(name)
	if h.Realm != "" {
		h.domain = domainOf(h.app, name)
	}
	return nil
}

func (h *DigestAuth) provisionOptions() error {
	h.NonceLifetime = cmp.Or(h.NonceLifetime, caddy.Duration(DefaultNonceLifetime))
	h.Identity, h.URI = cmp.Or(h.Identity, Own), cmp.Or(h.URI, Own)
	if err := h.provisionAlgorithms(); err != nil {
		return err
	}
	h.logged = ban.NewMarks(9)
	for a := range h.decoyHA1 {
		h.decoyHA1[a] = digest.HA1(digest.Algorithm(a), "nobody", "nowhere", "nothing")
	}
	if h.Failures < 0 {
		return nil
	}
	var err error
	h.limit, err = newLimit(h.in.Engine, h.logger, cmp.Or(h.Failures, DefaultFailures),
		cmp.Or(time.Duration(h.FailureWindow), DefaultWindow), cmp.Or(time.Duration(h.Ban), DefaultBan))
	return err
}

// provisionUsers loads all that knows users.
func (h *DigestAuth) provisionUsers(ctx caddy.Context, repl *caddy.Replacer) (err error) {
	if len(h.Users) == 0 && h.UsersFile == "" && len(h.ProvidersRaw) == 0 {
		return errors.New("there are no users: name some with user, in a users_file, or by a provider")
	}
	if h.list, err = newList(h.Users, string(h.realm), repl, h.logger); err != nil {
		return err
	}
	h.missing(h.list, "")
	h.providers = append(h.providers, h.list)
	if h.UsersFile != "" {
		path, err := module.ReplaceGlobal(h.UsersFile)
		if err != nil {
			return fmt.Errorf("users_file: %w", err)
		}
		h.file = &usersFile{path: path, realm: string(h.realm), logger: h.logger, loaded: h.missing}
		if err := h.file.load(); err != nil {
			return err
		}
		h.providers = append(h.providers, h.file)
	}
	if h.ProvidersRaw != nil {
		loaded, err := ctx.LoadModule(h, "ProvidersRaw")
		if err != nil {
			return fmt.Errorf("loading the providers: %w", err)
		}
		for _, m := range loaded.([]any) {
			p, ok := m.(module.AuthenticationProvider)
			if !ok {
				return fmt.Errorf("%T knows no users: its module is in the namespace sip.authentication.providers, but it has no HA1", m)
			}
			_, inline := m.(module.NonblockingProvider)
			h.blocking = h.blocking || !inline
			h.providers = append(h.providers, p)
		}
	}
	if h.file != nil {
		h.file.watch()
	}
	h.in.AddDirectory(h.mayKnow)
	return nil
}

// mayKnow reports whether there may be a user of that name: of those whom a module knows, there may
// always be one.
func (h *DigestAuth) mayKnow(user, domain string) bool {
	if len(h.ProvidersRaw) > 0 {
		return true
	}
	for _, name := range [...]string{user, user + "@" + domain} {
		if h.list.users[name] != nil || h.file != nil && h.file.current.Load().users[name] != nil {
			return true
		}
	}
	return false
}

// missing warns of users who cannot use what was configured to be offered.
func (h *DigestAuth) missing(d *directory, file string) {
	for a := range digest.NumAlgorithms {
		if !h.configured(a) {
			continue
		}
		if user := d.userWithout(a); user != "" {
			h.logger.Warn("an algorithm is offered that users have no hash for: whoever chooses it is refused", zap.Stringer("algorithm", a),
				zap.String("user", user), zap.String("users_file", file))
		}
	}
}

// Validate checks the options.
func (h *DigestAuth) Validate() error {
	if h.NonceLifetime < caddy.Duration(time.Second) || h.NonceLifetime > caddy.Duration(24*time.Hour) {
		return fmt.Errorf("nonce_lifetime must be from 1 second to 24 hours, not %v", time.Duration(h.NonceLifetime))
	}
	if h.FailureWindow < 0 || h.Ban < 0 {
		return errors.New("the times of failures and ban must not be negative")
	}
	if h.Identity != Own && h.Identity != Any {
		return fmt.Errorf("identity %q: it is %s or %s", h.Identity, Own, Any)
	}
	if h.URI != Own && h.URI != Any {
		return fmt.Errorf("uri %q: it is %s or %s", h.URI, Own, Any)
	}
	return nil
}

// Cleanup stops watching the file. Requests that are under way keep what was read of it.
func (h *DigestAuth) Cleanup() error {
	if h.file != nil {
		h.file.stop()
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner  = (*DigestAuth)(nil)
	_ caddy.Validator    = (*DigestAuth)(nil)
	_ caddy.CleanerUpper = (*DigestAuth)(nil)
	_ module.Handler     = (*DigestAuth)(nil)

	_ module.Authenticator = (*DigestAuth)(nil)
)
