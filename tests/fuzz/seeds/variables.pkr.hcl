variable "text" {
  type      = string
  default   = "t"
  sensitive = true
}
variable "number" {
  type    = number
  default = 1
  validation {
    condition     = var.number < 10
    error_message = "The number must be small."
  }
}
variable "list" {
  type    = list(string)
  default = []
}
variable "object" {
  type    = object({ a = string, b = optional(map(number), { c = 1 }) })
  default = { a = "x" }
}
variable "any" { default = null }
variables { loose = ["a"] }
locals {
  all = [var.text, var.number, var.list, var.object, var.any, var.loose]
}
source "null" "a" { x = local.all }
build { sources = ["null.a"] }
