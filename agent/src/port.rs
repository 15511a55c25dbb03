//! Free TCP ports of this machine, without clashes between parallel tasks and processes.
