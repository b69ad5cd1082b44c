package main

// Every command starts without waiting for the terminal's colours.
import _ "github.com/JDevAman/kizo/tui/quiet"
