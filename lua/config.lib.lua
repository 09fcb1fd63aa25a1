-- The settings of this host, as settings.lib.lua declares them.

local loader = module.import "loader";
local settings = module.import "settings";

return settings.load(module, loader.stop);
