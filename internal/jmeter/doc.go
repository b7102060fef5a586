// Package jmeter is a loader made of a real JMeter: one master and several
// jmeter-servers, started as processes of the run. Agent k of the record is
// server k. It writes the test plan and the keys of each server from a phase,
// reads the result file (JTL) while it grows, and gives the same windows and
// books as the fleet does.
//
// Servers can also run on machines of their own: a Keeper there takes the files
// of its server, starts Java, and ends with it.
//
// JMeter comes from JMETER_HOME, or is put together from its Maven artifacts,
// whose digests are part of this package. Masters and servers speak RMI over
// TLS with a key pair that is made for the run and removed with it.
//
// JMeter does not report when a request was due, so there is no
// lateness and no response time, only service time; and it counts whole
// milliseconds. What it does not report is nil in a window, not 0.
//
// The exit status of a master means nothing: one that has started no server
// ends with 0. A phase is accepted when the master names every server as
// started, the result file has rows of every server, each row stands for one
// request, and there are as many as JMeter itself has counted.
//
// The package refuses to take turns: a JVM cannot change its target several
// times a second.
package jmeter
