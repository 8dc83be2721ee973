"""Where things from outside come in and names go out: shapes of files, ranges of numbers, text. A leaf."""
