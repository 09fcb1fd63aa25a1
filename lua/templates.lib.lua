-- The templates of other programs' formats on this host.

local config = module.import "config";
local native = module.import "native";

return native.templates(config.templates);
