-- The sending tokens of this host.

local config = module.import "config";
local native = module.import "native";
local scheduler = module.import "scheduler";

return module.import "tokens".open(module, native, config.token_limit, scheduler.in_slices);
