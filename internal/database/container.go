package database

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// Container says how a private server runs in a container: of an image that has MariaDB or MySQL, with Start as its
// command, and the configuration next to it. It keeps its data in DataDir, and what ends with it in RunDir.
type Container struct {
	FilesDir       string // where Files are
	MaxConnections int    // as in Options; 0 means 200
	BufferPool     string // empty means 512M
	Settings       map[string]string
}

// What a container of a private server has and listens on.
const (
	ContainerPort = 3306
	DataDir       = "/data"
	RunDir        = "/run/bakeoff"
	startFile     = "start.sh"
	// AdminPassword and TargetPassword are variables with the passwords of the accounts.
	AdminPassword  = "DATABASE_ADMIN_PASSWORD"
	TargetPassword = "DATABASE_PASSWORD"
)

// AccessAt is how targets reach a private server in a container at that host; its password is not part of it.
func AccessAt(host string) Access {
	return Access{Host: host, Port: ContainerPort, User: targetUser, Name: schemaName}
}

// Start is the command of the container.
func (c Container) Start() []string { return []string{"/bin/sh", path.Join(c.FilesDir, startFile)} }

// Files are by name what the container finds in FilesDir: the script and a configuration for each vendor, from
// which the script chooses by the server that the image has.
func (c Container) Files() (map[string]string, error) {
	if err := checkSettings(c.Settings); err != nil {
		return nil, err
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 200
	}
	if c.BufferPool == "" {
		c.BufferPool = "512M"
	}
	if !settingValue.MatchString(c.BufferPool) {
		return nil, fmt.Errorf("database: buffer pool %q is not a size", c.BufferPool)
	}
	if c.FilesDir == "" {
		return nil, errors.New("database: no folder for the files of a container")
	}
	files := map[string]string{startFile: c.script()}
	for _, vendor := range []string{MariaDB, MySQL} {
		files[vendor+".cnf"] = "[mysqld]\n" + render(vendor, pinned, c.settings(), c.chosen())
	}
	return files, nil
}

// settings are those that depend on the container.
func (c Container) settings() []setting {
	return []setting{
		{name: "datadir", value: DataDir + "/db"},
		{name: "tmpdir", value: DataDir + "/tmp"},
		{name: "secure-file-priv", value: DataDir + "/tmp"},
		{name: "socket", value: RunDir + "/sock"},
		{name: "pid-file", value: RunDir + "/pid"},
		{name: "init-file", value: RunDir + "/init.sql"},
		{name: "port", value: strconv.Itoa(ContainerPort)},
		{name: "bind-address", value: "0.0.0.0"},
		{name: "max-connections", value: strconv.Itoa(c.MaxConnections + reserved)},
		{name: "back-log", value: strconv.Itoa(max(128, c.MaxConnections))},
		{name: "innodb-buffer-pool-size", value: c.BufferPool},
	}
}

func (c Container) chosen() []setting {
	var out []setting
	for name, value := range c.Settings {
		out = append(out, setting{name: name, value: value})
	}
	return out
}

// script makes the data directory where there is none, writes the accounts of this run, and becomes the server. A data
// directory is made under another name first: half of one would look whole.
func (c Container) script() string {
	return strings.NewReplacer("@FILES@", c.FilesDir, "@DATA@", DataDir, "@RUN@", RunDir,
		"@ACCOUNTS@", accounts([]string{"%"}, "", "$"+AdminPassword, "$"+TargetPassword), "@ZONE@", knownZone).Replace(startScript)
}

const startScript = `#!/bin/sh
# Makes the data directory once and the accounts at each start, and becomes the server.
set -eu
umask 077
server=$(command -v mariadbd || command -v mysqld || true)
mkdir -p @DATA@/tmp
case $server in
*/mariadbd)
  config=@FILES@/mariadb.cnf
  if [ ! -d @DATA@/db ]; then
    rm -rf @DATA@/new
    mariadb-install-db --no-defaults --datadir=@DATA@/new --tmpdir=@DATA@/tmp \
      --auth-root-authentication-method=normal --skip-test-db >@RUN@/install.log 2>&1 || { cat @RUN@/install.log; exit 1; }
    mv @DATA@/new @DATA@/db
  fi ;;
*/mysqld)
  config=@FILES@/mysql.cnf
  if [ ! -d @DATA@/db ]; then
    rm -rf @DATA@/new
    "$server" --no-defaults --initialize-insecure --datadir=@DATA@/new --tmpdir=@DATA@/tmp
    mv @DATA@/new @DATA@/db
  fi ;;
*)
  echo "bakeoff: the image has neither mariadbd nor mysqld" >&2
  exit 1 ;;
esac
{
cat <<END
@ACCOUNTS@END
cat <<'END'
@ZONE@END
} >@RUN@/init.sql
exec "$server" --defaults-file="$config"
`
