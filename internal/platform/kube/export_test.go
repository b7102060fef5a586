package kube

// Everything is a scope and workloads that use every field.
var Everything = everything

// LaptopRules are the rights of who starts a run.
var LaptopRules = laptopRules
