package kube

// Everything is a scope and workloads that use every field.
var Everything = everything
