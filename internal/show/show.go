// Package show writes figures and words for people, in one way for all commands: numbers, durations, shares,
// counted words, tables, wrapped and clipped text.
//
// Text from outside (answers, logs, plans, other users' files) goes through Inert or InertLines before it
// reaches a terminal: no control character, no change of the writing direction and no invisible character
// survives. Nothing here cuts inside a character, and tables and lines are measured in columns of a terminal.
//
// It knows nothing of runs, and it prints nothing itself.
package show

// None stands where there is no figure.
const None = "-"
