// Package database is the MySQL or MariaDB fixture: it starts a private server
// or opens an external one, fills the table, proves what it holds, and counts
// what is asked of it. It refuses a table that is not exactly the dataset's,
// and never touches a server that the plan does not name.
package database

import "fmt"

// Access is how a target reaches the database. Its password appears in no
// text form of it.
type Access struct {
	Host         string
	Port         int
	Socket       string // path of the Unix socket; empty for an external database
	User         string
	Password     string
	PasswordFile string // mode 0600, for commands printed for people: "$(cat FILE)"
	Name         string // of the schema
}

// String leaves the password out.
func (a Access) String() string {
	return fmt.Sprintf("%s@%s:%d/%s", a.User, a.Host, a.Port, a.Name)
}

// GoString leaves the password out.
func (a Access) GoString() string { return a.String() }
