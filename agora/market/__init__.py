"""What a trader on an order-book market sees and sends, and how the scripted ones behave."""
