"""The built-in sh_test under rules_shell's name."""

sh_test = native.sh_test
