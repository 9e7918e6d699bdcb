// Command bare does nothing: its cost is that of every Go program.
package main

func main() {}
