std = "max"
max_line_length = 150
files["lua/"] = { read_globals = { "prosody" }, globals = { "module" } }
files["spec/"] = { std = "+busted" }
files["spec/support/modules/"] = { read_globals = { "module", "prosody" } }
files["benches/modules/"] = { read_globals = { "module" }, globals = { "prosody" } }
files["benches/requests.lua"] = { globals = { "wrk", "init", "request", "done" } }
