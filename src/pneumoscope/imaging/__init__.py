"""Pixels in: a file or bytes become one radiograph, with everything its reader learnt."""
