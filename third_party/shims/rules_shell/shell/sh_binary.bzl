"""The built-in sh_binary under rules_shell's name."""

sh_binary = native.sh_binary
