"""What every declared provider does by default: its address, its credential headers, what its errors mean."""
