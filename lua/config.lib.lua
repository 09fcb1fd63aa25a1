-- The settings of this host.

local loader = module.import "loader";
local settings = module.import "settings";

return settings.load(module, loader.stop);
