mod casts;
