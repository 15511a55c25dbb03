variable "name" { default = "x\ty" }
variable "names" {
  type    = list(string)
  default = ["a", "b"]
}
variable "secret" {
  default   = "geheim"
  sensitive = true
}
variable "unset" { type = string }
locals {
  tree    = { branch = { leaf = 1, "not a word" = 2 } }
  broken  = upper(1, 2)
  on_it   = local.broken
  greets  = "hello ${var.secret}"
}
source "null" "unused" {}
build {
  sources = ["source.none.such"]
}
