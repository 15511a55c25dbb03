locals {
  a = [1, "two", true, null, [], {}, { "k k" = 1, (local.k) : 2, l = local.a0[*].x }]
  k = format("%5.2f|%-8s|%#v|%q|%08b", 3.14159, "s", { a = 1 }, "q\"", 10)
  a0 = [{ x = 1 }, { x = 2 }]
  b = try(local.a[9], local.a0.*.x[0], "none")
  c = can(local.zzz) ? 1 : 2
  d = !(1 < 2 && 3 >= 4 || false == true)
  e = flatten([[1, [2]], setproduct(["a"], ["b", "c"]), range(1, 10, 3)])
  f = merge({ a = 1 }, zipmap(["b"], [2]), jsondecode("{\"c\":[1e3,-0.5]}"), yamldecode("x: &a [1]\ny: *a"))
  g = regex_replace("a1b2", "[0-9]+", "<$0>")
  h = cidrsubnets("10.0.0.0/8", 4, 8)
  i = formatdate("DD MMM YYYY hh:mm ZZZ", timeadd("2020-01-01T00:00:00Z", "1h30m"))
  j = convert(["1"], list(number))
  l = templatefile("missing", {})
  m = base64gzip("x")
  n = substr(strrev("héllo"), -3, 2)
  o = <<EOT
a $${b} %%{c} \n
EOT
  p = "\u00e9\U0001F980 ${"nested ${"deep"}"}"
}
