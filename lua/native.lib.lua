-- The native half: the functions of src/binding.rs.

return module.import "loader".load();
