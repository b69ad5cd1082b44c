package main

// No command waits for the terminal to answer a query for its colors.
import _ "github.com/JDevAman/kizo/internal/noterminalquery"
