package zoomsim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// UserStatus is the state of a Zoom user within the account.
type UserStatus string

// The states Zoom knows. A user who is not active can still consent here and keeps grants and tokens; users/me tells
// the state, and refusing is the caller's business.
const (
	UserActive   UserStatus = "active"
	UserInactive UserStatus = "inactive"
	UserPending  UserStatus = "pending"
)

// User is a Zoom user. Users of one e-mail domain share an account unless AccountID says otherwise.
type User struct {
	ID          string     `json:"id"`
	AccountID   string     `json:"account_id"`
	Email       string     `json:"email"`
	DisplayName string     `json:"display_name"`
	Status      UserStatus `json:"status"`
	CreatedAt   time.Time  `json:"created_at"`
	LastLogin   time.Time  `json:"last_login_time"`
}

// PutUser creates or changes a user and returns the result. A known ID, otherwise Email, says which user it is; empty
// fields keep their value, or get a default in a new user. Times are the emulator's own and ignored.
// Errors: ErrNotFound for an unknown ID, ErrInvalid for an unusable status or address or one that another user has.
func (s *Server) PutUser(u User) (User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.putUser(u, s.now())
}

// User finds a user by id, e-mail address or bare name.
func (s *Server) User(login string) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.state.findUser(login)
	if !ok {
		return User{}, false
	}
	return *u, true
}

// Users returns all users, ordered by e-mail address.
func (s *Server) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]User, 0, len(s.state.users))
	for _, u := range s.state.users {
		list = append(list, *u)
	}
	slices.SortFunc(list, func(a, b User) int { return cmp.Compare(a.Email, b.Email) })
	return list
}

func (st *state) putUser(change User, now time.Time) (User, error) {
	if !slices.Contains([]UserStatus{"", UserActive, UserInactive, UserPending}, change.Status) {
		return User{}, fmt.Errorf("%w: status %q; use active, inactive or pending", ErrInvalid, change.Status)
	}
	u, err := st.userToChange(change, now)
	if err != nil {
		return User{}, err
	}
	if change.Email != "" {
		email, _, err := parseLogin(change.Email)
		if err != nil {
			return User{}, err
		}
		if owner, taken := st.byEmail[email]; taken && owner != u.ID {
			return User{}, fmt.Errorf("%w: another user has the address %q", ErrInvalid, email)
		}
		delete(st.byEmail, u.Email)
		u.Email = email
	}
	u.AccountID = cmp.Or(change.AccountID, u.AccountID)
	u.DisplayName = cmp.Or(change.DisplayName, u.DisplayName)
	u.Status = cmp.Or(change.Status, u.Status)
	st.users[u.ID], st.byEmail[u.Email] = u, u.ID
	return *u, nil
}

// userToChange returns the existing user that change is about, or a new one not yet stored.
func (st *state) userToChange(change User, now time.Time) (*User, error) {
	if change.ID != "" {
		if u, ok := st.users[change.ID]; ok {
			return u, nil
		}
		return nil, fmt.Errorf("%w: user with id %q", ErrNotFound, change.ID)
	}
	if u, ok := st.findUser(change.Email); ok {
		return u, nil
	}
	return newUser(change.Email, now)
}

// signIn returns the user that login names, created when new.
func (st *state) signIn(login string, now time.Time) (*User, error) {
	u, ok := st.findUser(login)
	if !ok {
		var err error
		if u, err = newUser(login, now); err != nil {
			return nil, err
		}
		st.users[u.ID], st.byEmail[u.Email] = u, u.ID
	}
	u.LastLogin = now
	return u, nil
}

func (st *state) findUser(login string) (*User, bool) {
	if u, ok := st.users[login]; ok {
		return u, true
	}
	email, _, err := parseLogin(login)
	if err != nil {
		return nil, false
	}
	u, ok := st.users[st.byEmail[email]]
	return u, ok
}

// newUser describes the user that login names: the same ids in every run.
func newUser(login string, now time.Time) (*User, error) {
	email, name, err := parseLogin(login)
	if err != nil {
		return nil, err
	}
	_, domain, _ := strings.Cut(email, "@")
	return &User{
		ID:          stableID("user", email),
		AccountID:   stableID("account", domain),
		Email:       email,
		DisplayName: name,
		Status:      UserActive,
		CreatedAt:   now,
		LastLogin:   now,
	}, nil
}

// parseLogin turns "Ada@Acme.example", "ada" or "Ada Lovelace" into an address and a display name. A bare name lives
// at example.com.
func parseLogin(login string) (email, name string, err error) {
	words := strings.Fields(login)
	local, domain, isEmail := strings.Cut(strings.Join(words, "."), "@")
	if !isEmail {
		domain = "example.com"
	}
	if local == "" || domain == "" || len(login) > 128 || isEmail && len(words) > 1 ||
		strings.Contains(domain, "@") || strings.ContainsFunc(login, unicode.IsControl) {
		return "", "", fmt.Errorf("%w: %q is neither an e-mail address nor a name of at most 128 bytes", ErrInvalid, login)
	}
	name = capitalize(strings.ReplaceAll(local, ".", " "))
	return strings.ToLower(local + "@" + domain), cmp.Or(name, local), nil
}

func capitalize(name string) string {
	words := strings.Fields(name)
	for i, w := range words {
		r := []rune(w)
		r[0] = unicode.ToUpper(r[0])
		words[i] = string(r)
	}
	return strings.Join(words, " ")
}
