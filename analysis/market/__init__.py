"""What a market run looks like: stylised facts, market quality, and who earned what."""
