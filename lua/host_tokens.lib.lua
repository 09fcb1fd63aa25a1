-- The sending tokens of this host.

local config = module.import "config";
local counters = module.import "counters";
local native = module.import "native";
local token_store = module.import "token_store";
local turns = module.import "turns";

local tokens = token_store.new(module, { new_token = native.new_token; limit = config.token_limit; in_slices = turns.in_slices });

counters.register("token_uses", function () return tokens.uses.waiting_timers; end);

return tokens;
